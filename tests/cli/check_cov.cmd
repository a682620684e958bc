check trial/cov.ppl --data trial/cov.json
