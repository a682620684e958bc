run gauss.ppl --infer nuts --threads 0 --out $OUT
