run gauss.ppl --infer nuts --draws 0
