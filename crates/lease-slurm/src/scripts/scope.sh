# shellcheck shell=sh
# Who is asked, and who asks.
part config scontrol show config
fact uid "$(id -u)"
fact user "$(id -un)"
echo 'lease1 end'
