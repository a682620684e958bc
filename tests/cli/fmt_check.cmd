fmt --check gauss.ppl unformatted.ppl
