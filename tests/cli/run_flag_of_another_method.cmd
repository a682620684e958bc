run gauss.ppl --infer nuts --bridges 8
