run trial/size.ppl --data trial/size_one.json --infer mean-field --out $OUT
