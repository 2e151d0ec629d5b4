minewatch report --alert south-20230620-eb6ce6 --lang es --for "Court of Puerto Pardo" --purpose "case 7/2024"
