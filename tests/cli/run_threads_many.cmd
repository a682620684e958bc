run gauss.ppl --infer nuts --threads many --out $OUT
