run gauss.ppl --infer magic
