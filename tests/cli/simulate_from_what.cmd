simulate gauss.ppl -n 3
