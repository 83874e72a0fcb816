package provider

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/handset-oidc/handset/internal/web"
	"github.com/handset-oidc/handset/passcode/sms"
)

// metrics are what /metrics shows. Labels are routes and statuses, never
// anything that a stranger sent.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec

	attempts *prometheus.HistogramVec
	receipts *prometheus.CounterVec
	verified *prometheus.HistogramVec
	dropped  prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "handset_http_requests_total", Help: "Answers by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "handset_http_request_duration_seconds", Help: "Time to answer by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"route"}),
	}
	m.attempts = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "handset_sms_attempt_duration_seconds", Help: "Tries to hand a text over, by sender, region and outcome.",
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"sender", "region", "outcome"})
	m.receipts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "handset_sms_receipts_total", Help: "Receipts of routes, by sender and state."}, []string{"sender", "state"})
	m.verified = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "handset_sms_verified_seconds", Help: "From a text that was asked for to the entry of its code, by sender and region.",
		Buckets: []float64{2, 5, 10, 15, 20, 30, 45, 60, 120, 300}}, []string{"sender", "region"})
	m.dropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "handset_sms_records_dropped_total", Help: "Records of texts that were lost: the database took none for long, or refused them."})
	m.registry.MustRegister(m.requests, m.seconds, m.attempts, m.receipts, m.verified, m.dropped, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// Attempted implements [passcode.Observer].
func (m *metrics) Attempted(sender, region, outcome string, took time.Duration) {
	m.attempts.WithLabelValues(sender, region, outcome).Observe(took.Seconds())
}

// Verified implements [passcode.Observer].
func (m *metrics) Verified(sender, region string, took time.Duration) {
	m.verified.WithLabelValues(sender, region).Observe(took.Seconds())
}

// Dropped implements [passcode.Observer].
func (m *metrics) Dropped(n int) { m.dropped.Add(float64(n)) }

func (m *metrics) receipt(sender string, state sms.State) {
	m.receipts.WithLabelValues(sender, string(state)).Inc()
}

// senderStates shows the circuit breakers as they are when they are asked for.
type senderStates struct {
	of   func() []*sms.Named
	desc *prometheus.Desc
}

func newSenderStates(of func() []*sms.Named) senderStates {
	return senderStates{of, prometheus.NewDesc("handset_sms_sender_state",
		"1 for the state in which a sender's circuit breaker is.", []string{"sender", "state"}, nil)}
}

// Describe implements [prometheus.Collector].
func (s senderStates) Describe(ch chan<- *prometheus.Desc) { ch <- s.desc }

// Collect implements [prometheus.Collector].
func (s senderStates) Collect(ch chan<- prometheus.Metric) {
	for _, n := range s.of() {
		now, _ := n.State()
		for _, state := range []string{"closed", "half-open", "open"} {
			value := 0.0
			if state == now {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, value, n.Name, state)
		}
	}
}

// readyWithin bounds the questions that /readyz asks.
const readyWithin = 2 * time.Second

// Admin serves what operators and orchestrators ask, on a listener of its own:
// /healthz (the process is alive), /readyz (Redis and SQL answer, a key signs) and
// /metrics; on loopback also /debug/pprof (profiles of the running process), which
// shows more of its inside than others of a network should see.
//
// at is where the listener listens, and host the host of its configured address,
// by which it may be asked for beside localhost and bare addresses. A page that a
// browser of this network has open reaches the listener by a name of its own
// domain that it lets point here (DNS rebinding): such names are refused.
func (p *Provider) Admin(at net.Addr, host string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		web.Plain(w, r, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", p.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{}))
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !knownToOperators(r.Host, host) {
			web.Plain(w, r, http.StatusMisdirectedRequest,
				"ask for this listener by an address, as localhost, or by the host of admin_listen")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// knownToOperators reports whether the host of a request is one that no stranger's
// domain can be: an address, localhost, or the configured name.
func knownToOperators(asked, configured string) bool {
	if host, _, err := net.SplitHostPort(asked); err == nil {
		asked = host
	}
	asked = strings.TrimSuffix(strings.TrimPrefix(asked, "["), "]")
	if _, err := netip.ParseAddr(asked); err == nil {
		return true
	}
	return strings.EqualFold(asked, "localhost") || configured != "" && strings.EqualFold(asked, configured)
}

// ready answers 200 when every part can do its work, else 503 with the names
// of those that can't; why is for the log.
func (p *Provider) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	status, text := http.StatusOK, "ok"
	for _, part := range []struct {
		name string
		ping func(context.Context) error
	}{{"redis", p.c.Redis.Ping}, {"database", p.c.SQL.Ping}, {"signing keys", p.c.Keys.Ready}} {
		if err := part.ping(ctx); err != nil {
			p.c.Logger.WarnContext(ctx, "not ready", slog.String("part", part.name), slog.String("error", err.Error()))
			if status == http.StatusOK {
				text = "not ready:"
			}
			status, text = http.StatusServiceUnavailable, text+" "+part.name
		}
	}
	web.Plain(w, r, status, text)
}
