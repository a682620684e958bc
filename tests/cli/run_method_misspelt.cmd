run gauss.ppl --infer sivism
