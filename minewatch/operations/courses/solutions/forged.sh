minewatch verify post/from-alta.zip --public-key post/alta.pub --json > post/from-alta.json
minewatch verify post/by-messenger.zip --public-key post/alta.pub --json > post/by-messenger.json
minewatch receive post/from-alta.zip --public-key post/alta.pub --from "Agency of Alta" --purpose "the mine at the border"
