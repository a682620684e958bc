run gauss.ppl --infer nuts --init mean-field
