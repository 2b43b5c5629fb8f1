#!/bin/bash
# Postfix, Exim and OpenSMTPD as the MTA behind mimicryd, set up by the samples: mails whose words try to be a second envelope, in every
# charset, transfer encoding and plugin. No second envelope ever arrives; every mail that was taken arrives once.
if (($# == 0)); then
    for mta in postfix exim opensmtpd; do
        "$0" "$mta" || exit 1
    done
    exit
fi
. "$(dirname "$0")/common.bash"

need python3 python3
[[ $1 == postfix ]] && need postfix postfix
begin
write_config "$footer"
# Which rules a mail is for, its sender says.
rule() {
    cat <<TOML
[[rule]]
name = "$1"
plugin = "$2"
match = { sender = '^($1|all)@elsewhere\.example$'${4-} }
options = { $3 }
TOML
}
{
    words='text = "Re {{ subject }}", html = "<p>Re {{ subject }}</p>"'
    rule bottom disclaim "$words"
    rule top disclaim "$words, place = \"top\""
    rule banner banner "$words, subject_tag = \"[OUT]\""
    rule header header 'add = { X-Words = "{{ subject }}" }, prefix_subject = "[{{ subject }}]"'
    rule note remove 'note = "text", text = "Gone {{ filename }}", note_name = "{{ filename }}.txt"' ", filename = 'Z\$'"
    rule pack zip 'note = "text", name = "{{ slug }}.zip", note_text = "{{ archive }}\n{{ members }}"'
} >>"$work/mimicry.toml"

case $1 in
postfix)
    {
        cat "$root/etc/postfix/after-queue.main.cf"
        echo "in_flow_delay = 0"
    } >"$work/main.cf"
    {
        cat "$root/etc/postfix/after-queue.master.cf"
        echo "smtp inet n - n - - smtpd"
    } >"$work/master.cf"
    new_postfix "$work/main.cf" "$work/master.cf"
    mta_log=$work/postfix.log
    start_postfix
    ;;
exim)
    new_exim
    start_exim
    ;;
opensmtpd)
    new_opensmtpd
    start_opensmtpd
    ;;
esac
start_mimicryd

python3 "$root/t/interop/smuggle.py" "$port_in" "$work/mail" >"$work/sent" || fail "see above"
cat "$work/sent"
! grep -q evil "$mta_log" || fail "the log of $1 has another envelope: $(grep -m 3 evil "$mta_log")"
taken=$(sed -n 's/^ok: \([0-9]*\) mails.*/\1/p' "$work/sent")
(($(grep -c "status=sent" "$work/mimicry.log") == taken)) || fail "mimicryd has handed on another number of mails"
(($(grep -c ":edited" "$work/mimicry.log") == taken)) || fail "there are mails that no rule edited"
ok "$1: no second envelope; $taken mails, each once"
