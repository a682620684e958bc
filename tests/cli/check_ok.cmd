check gauss.ppl
