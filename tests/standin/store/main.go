// The stand-in store: one process that speaks TiKV's gRPC protocol, replicates by Raft and registers with a real PD.
//
// It exists so that the harness can be tried end to end where no TiKV is to be had. It is not TiKV, and nothing that it
// does or fails to do says anything about TiKV. The storage and replication are those of github.com/ngaut/unistore;
// this program wires them together and corrects what a current client and a current PD stumble over:
//
//   - an empty answer of KvGet carries not_found;
//   - PD's request to split a region at given keys (it asks for the bounds of its keyspaces) is done at those keys;
//   - a torn message of Raft is dropped, where it would end the process;
//   - the Raft logs are never compacted, since a deposed leader that comes back to a compacted log crashes;
//   - it listens on its own address only.
package main

import (
	"context"
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
	"github.com/zhangjinpeng1987/raft"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const version = "0.0.0-standin"

const notice = "stand-in store: not TiKV, exercises the harness only and says nothing about TiKV"

func main() {
	opts, err := readOptions()
	if err == nil {
		err = serve(opts)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s\n%v\n", notice, err)
		os.Exit(1)
	}
}

func serve(opts options) error {
	if err := startLog(opts); err != nil {
		return err
	}
	log.Warn(notice)
	// Taken first: an address in use is then found before anything is registered.
	listener, err := net.Listen("tcp", opts.addr)
	if err != nil {
		return err
	}
	if opts.statusAddr != "" {
		if err := serveStatus(opts.statusAddr); err != nil {
			return err
		}
	}
	inner, err := openStore(opts, connect(opts.pd))
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

// connect waits for PD as long as it takes, as TiKV does.
func connect(addresses string) pd.Client {
	for {
		client, err := pd.NewClient(strings.Split(addresses, ","), "standin")
		if err == nil {
			return client
		}
		log.Warn("PD does not answer", zap.String("addresses", addresses), zap.Error(err))
	}
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

// startLog writes TiKV's form of lines: [2026/11/23 11:42:12.123 +00:00] [INFO] ...
func startLog(opts options) error {
	settings := &log.Config{Level: opts.logLevel, File: log.FileLogConfig{Filename: opts.logFile}}
	var logger *zap.Logger
	var properties *log.ZapProperties
	var err error
	if opts.logFile == "" {
		logger, properties, err = log.InitLoggerWithWriteSyncer(settings, zapcore.Lock(os.Stderr))
	} else {
		logger, properties, err = log.InitLogger(settings)
	}
	if err != nil {
		return err
	}
	log.ReplaceGlobals(logger, properties)
	raft.SetLogger(raftLog{logger.WithOptions(zap.AddCallerSkip(1)).Sugar()})
	return nil
}

// raftLog takes the lines of the Raft library, which has a form of its own for them.
type raftLog struct {
	*zap.SugaredLogger
}

func (l raftLog) Warning(v ...interface{})                 { l.Warn(v...) }
func (l raftLog) Warningf(format string, v ...interface{}) { l.Warnf(format, v...) }

// stopOnSignal ends the process at once: what is not on disk by then is lost, as with a kill.
func stopOnSignal(server *grpc.Server) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		server.Stop()
	}()
}
