check gauss.ppl --data mismatch.json
