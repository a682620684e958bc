check gauss.ppl --json
