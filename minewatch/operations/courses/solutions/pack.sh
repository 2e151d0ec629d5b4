openssl genpkey -algorithm ed25519 -out evidence.pem
openssl pkey -in evidence.pem -pubout -out evidence.pub
minewatch pack south-20230620-eb6ce6 -o hand-over --key evidence.pem --for "Court of Puerto Pardo" --purpose "case 7/2024"
minewatch verify hand-over/south-20230620-eb6ce6.zip --public-key evidence.pub
