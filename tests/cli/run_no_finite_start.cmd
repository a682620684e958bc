run nowhere.ppl --infer nuts --out $OUT
