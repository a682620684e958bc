run gauss.ppl --infer mean-field --minibatch M=4 --out $OUT
