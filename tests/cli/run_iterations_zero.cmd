run gauss.ppl --infer mean-field --iterations 0
