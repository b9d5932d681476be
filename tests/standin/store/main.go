// The stand-in store: one process that speaks TiKV's gRPC protocol, replicates by Raft and registers with a real PD.
//
// It exists so that the harness can be tried end to end where no TiKV is to be had. It is not TiKV, and nothing that it
// does or fails to do says anything about TiKV. The storage and replication are those of github.com/ngaut/unistore;
// this program wires them together and corrects what a current client and a current PD stumble over:
//
//   - an empty answer of KvGet carries not_found;
//   - PD's request to split a region at given keys (it asks for the bounds of its keyspaces) is done at those keys;
//   - the Raft logs are never compacted, since a deposed leader that comes back to a compacted log crashes;
//   - it listens on its own address only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/ngaut/unistore/pd"
	"github.com/ngaut/unistore/tikv"
	"github.com/pingcap/kvproto/pkg/deadlock"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/pingcap/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const notice = "stand-in store: not TiKV, exercises the harness only and says nothing about TiKV"

type options struct {
	addr      string
	advertise string
	pd        string
	dataDir   string
	logFile   string
	logLevel  string
	tick      time.Duration
}

func main() {
	var opts options
	flag.StringVar(&opts.addr, "addr", "127.0.0.1:20160", "address to listen on, HOST:PORT")
	flag.StringVar(&opts.advertise, "advertise-addr", "", "address told to PD; the address listened on by default")
	flag.StringVar(&opts.pd, "pd", "127.0.0.1:2379", "PD's addresses, HOST:PORT,HOST:PORT")
	flag.StringVar(&opts.dataDir, "data-dir", "", "directory of the data, made if it is not there")
	flag.StringVar(&opts.logFile, "log-file", "", "file of the log; standard error by default")
	flag.StringVar(&opts.logLevel, "log-level", "info", "debug, info, warn or error")
	flag.DurationVar(&opts.tick, "raft-tick", time.Second, "base tick of Raft; elections take 10 to 20 of them")
	flag.Parse()
	if opts.advertise == "" {
		opts.advertise = opts.addr
	}
	if err := serve(opts); err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", notice, err)
		os.Exit(1)
	}
}

func serve(opts options) error {
	if opts.dataDir == "" {
		return errors.New("--data-dir is missing")
	}
	if err := startLog(opts); err != nil {
		return err
	}
	log.Warn(notice)
	// Taken first: an address in use is then found before anything is registered.
	listener, err := net.Listen("tcp", opts.addr)
	if err != nil {
		return err
	}
	client, err := pd.NewClient(strings.Split(opts.pd, ","), "standin")
	if err != nil {
		return err
	}
	inner, err := openStore(opts, client)
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(16<<20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)
	tikvpb.RegisterTikvServer(server, store{inner})
	deadlock.RegisterDeadlockServer(server, inner)
	stopOnSignal(server)
	return server.Serve(listener)
}

// store corrects the answers that a current client would misread.
type store struct {
	*tikv.Server
}

// KvGet says not_found where there is no value: a current client takes an empty value without it for a value.
func (s store) KvGet(ctx context.Context, req *kvrpcpb.GetRequest) (*kvrpcpb.GetResponse, error) {
	resp, err := s.Server.KvGet(ctx, req)
	if err == nil && resp.Error == nil && resp.RegionError == nil && len(resp.Value) == 0 {
		resp.NotFound = true
	}
	return resp, err
}

func startLog(opts options) error {
	logger, properties, err := log.InitLogger(&log.Config{
		Level: opts.logLevel,
		File:  log.FileLogConfig{Filename: opts.logFile},
	})
	if err != nil {
		return err
	}
	log.ReplaceGlobals(logger, properties)
	return nil
}

// stopOnSignal ends the process at once: what is not on disk by then is lost, as with a kill.
func stopOnSignal(server *grpc.Server) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		server.Stop()
	}()
}
