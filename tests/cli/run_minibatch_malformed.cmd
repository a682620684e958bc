run gauss.ppl --infer mean-field --minibatch 4 --out $OUT
