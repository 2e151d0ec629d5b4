cat >> minewatch.toml <<'END'

[schedules.nightly]
areas = ["*"]
cron = "* * * * *"

[notify.me]
to_variable = "COURSE_MAIL"
areas = ["*"]
END
export COURSE_MAIL='mailto://127.0.0.1:2525/?smtp=127.0.0.1&from=watch@example.org&to=me@example.org'
mv simulated away
minewatch watch --once
minewatch notify list
minewatch course mail &
sleep 10
minewatch notify retry --all
mv away simulated
sleep 60
minewatch watch --once
sed -i 's/^cron = "\* \* \* \* \*"/cron = "30 2 * * *"/' minewatch.toml
minewatch schedule show
minewatch status
kill $!
