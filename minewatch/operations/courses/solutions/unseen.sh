minewatch scan north --until 2023-12-15 --into rains
minewatch report north --until 2023-12-15 -o rains/reports
