package main

import (
	"math/rand"
	"sync/atomic"
	"time"

	"github.com/pingcap/kvproto/pkg/raft_serverpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Snapshot takes a replica's data from another store, or refuses when it is not begun soon.
//
// The library sends and receives snapshots in turn on one goroutine, so two stores that send to each other would both
// wait for ever, and with them every region that is to move. One that is refused is sent again; the patience is drawn,
// so that two do not refuse each other again and again.
func (s store) Snapshot(stream tikvpb.Tikv_SnapshotServer) error {
	waiting := &snapshotStream{Tikv_SnapshotServer: stream, begun: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- s.Server.Snapshot(waiting) }()
	patience := time.NewTimer(200*time.Millisecond + time.Duration(rand.Int63n(int64(time.Second))))
	defer patience.Stop()
	select {
	case <-waiting.begun:
	case err := <-done:
		return err
	case <-patience.C:
		if waiting.state.CompareAndSwap(idle, refused) {
			return errBusy
		}
	}
	return <-done
}

var errBusy = status.Error(codes.ResourceExhausted, "another snapshot is under way")

// snapshotStream is one that is either begun or refused, never both.
type snapshotStream struct {
	tikvpb.Tikv_SnapshotServer
	begun chan struct{}
	state atomic.Int32
}

const (
	idle int32 = iota
	reading
	refused
)

func (s *snapshotStream) Recv() (*raft_serverpb.SnapshotChunk, error) {
	if s.state.CompareAndSwap(idle, reading) {
		close(s.begun)
	}
	if s.state.Load() == refused {
		return nil, errBusy
	}
	return s.Tikv_SnapshotServer.Recv()
}
