run gauss.ppl --infer mean-field --device cuda --out $OUT
