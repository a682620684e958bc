run sum.ppl --data gauss.json --infer mean-field --minibatch N=4 --out $OUT
