check gauss.ppl --data broken.json
