check trial/size.ppl --data trial/size_zero.json
