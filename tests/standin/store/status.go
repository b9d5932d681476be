package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveStatus answers /status, /metrics and /debug/pprof/goroutine, which tells where a store hangs; every answer carries this process's own time in its Date.
func serveStatus(addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.Handler())
	mux.Handle("/debug/pprof/goroutine", pprof.Handler("goroutine"))
	mux.HandleFunc("/status", func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(answer).Encode(map[string]string{"version": version, "note": notice})
	})
	go func() { _ = http.Serve(listener, mux) }()
	return nil
}
