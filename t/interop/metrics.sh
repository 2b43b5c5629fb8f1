#!/bin/bash
# The numbers for Prometheus as its own programs read them, and over 10 000 mails with workers that are killed and reloads; the alert
# rules that are shipped.
. "$(dirname "$0")/common.bash"

need curl curl
need_python prometheus_client python3-prometheus-client
# The package would start a server; its one program is enough.
if ! command -v promtool >/dev/null; then
    (cd "$work" && { apt-get download prometheus || { apt-get update -qq && apt-get download prometheus; }; }) >"$work/install.log" 2>&1 ||
        fail "the package prometheus cannot be fetched"
    dpkg-deb -x "$work"/prometheus_*.deb "$work/prometheus"
    PATH=$PATH:$work/prometheus/usr/bin
fi
need_mimicryd

cd "$root/etc/prometheus"
promtool check rules mimicry.rules.yml || fail "promtool check rules"
promtool test rules mimicry.test.yml || fail "promtool test rules"
ok "alert rules"
cd "$work"

free_port port_in
free_port port_back
port_metrics=0
free_port port_metrics
write_config "Sent by Example Ltd"
sed -i "s/^\[daemon\]/&\nmetrics = \"127.0.0.1:$port_metrics\"\nmails_per_worker = 300/" "$work/mimicry.toml"
start_mimicryd
url=http://127.0.0.1:$port_metrics
[[ $(curl -sf "$url/healthz") == ok ]] || fail "healthz: $(curl -s "$url/healthz")"
# Prometheus asks with these.
curl -sf -H 'Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2' "$url/metrics" |
    tail -1 | grep -qx '# EOF' || fail "no OpenMetrics for who wants it"

"$python" "$root/t/interop/metrics.py" "$port_in" "$port_back" "$url/metrics" "$mimicryd" "$work/mimicry.toml" "$work/run/mimicryd.pid" "$work/mimicry.log" ||
    fail "the numbers are not right"
ok "10 000 mails"
curl -sf "$url/metrics" >"$work/scrape"
promtool check metrics <"$work/scrape" || fail "promtool check metrics"
"$mimicryd" metrics -c "$work/mimicry.toml" | promtool check metrics || fail "promtool check metrics, of the command"
ok "promtool check metrics"
