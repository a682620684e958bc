run gauss.ppl --infer nuts --out .
