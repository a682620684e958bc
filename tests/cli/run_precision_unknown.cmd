run gauss.ppl --infer nuts --precision f16 --out $OUT
