"""What an answer is: times, rates, memory, intervals, citations, sensitivity, and its forms as records and in notebooks."""
