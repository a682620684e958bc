run gauss.ppl
