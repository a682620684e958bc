check gauss.ppl --data ragged.json
