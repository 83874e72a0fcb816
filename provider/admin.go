package provider

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/handset-oidc/handset/internal/web"
)

// metrics are what /metrics shows. Labels are routes and statuses, never
// anything that a stranger sent.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
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
	m.registry.MustRegister(m.requests, m.seconds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// readyWithin bounds the questions that /readyz asks.
const readyWithin = 2 * time.Second

// Admin serves what operators and orchestrators ask, on a listener of its own:
// /healthz (the process is alive), /readyz (Redis and SQL answer), /metrics and
// /debug/pprof (profiles of the running process).
func (p *Provider) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		web.Plain(w, r, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", p.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
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
	}{{"redis", p.c.Redis.Ping}, {"database", p.c.SQL.Ping}} {
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
