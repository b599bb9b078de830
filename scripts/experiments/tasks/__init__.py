"""What is learned downstream: each task reads its evaluations and gives the measures that arms are compared in."""
