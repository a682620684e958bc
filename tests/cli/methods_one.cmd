methods bam
