check trial/size.ppl --data trial/size_huge.json
