run gauss.ppl --infer nuts --minibatch N=4 --out $OUT
