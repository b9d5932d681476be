package main

import (
	"github.com/pingcap/kvproto/pkg/eraftpb"
	"github.com/pingcap/kvproto/pkg/raft_serverpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/pingcap/log"
	"go.uber.org/zap"
)

// Raft drops torn messages of a peer's stream.
func (s store) Raft(stream tikvpb.Tikv_RaftServer) error {
	return s.Server.Raft(raftStream{stream})
}

// BatchRaft does the same with messages that come in batches.
func (s store) BatchRaft(stream tikvpb.Tikv_BatchRaftServer) error {
	return s.Server.BatchRaft(batchStream{stream})
}

type raftStream struct {
	tikvpb.Tikv_RaftServer
}

func (s raftStream) Recv() (*raft_serverpb.RaftMessage, error) {
	for {
		message, err := s.Tikv_RaftServer.Recv()
		if err != nil || !torn(message.GetMessage()) {
			return message, err
		}
	}
}

type batchStream struct {
	tikvpb.Tikv_BatchRaftServer
}

func (s batchStream) Recv() (*tikvpb.BatchRaftMessage, error) {
	batch, err := s.Tikv_BatchRaftServer.Recv()
	if err != nil {
		return nil, err
	}
	var sound []*raft_serverpb.RaftMessage
	for _, message := range batch.Msgs {
		if !torn(message.GetMessage()) {
			sound = append(sound, message)
		}
	}
	batch.Msgs = sound
	return batch, nil
}

// torn says whether the entries of a message do not follow the one it names before them.
//
// Where a region has a single voter, an entry is applied while the message that takes it to a learner still waits to be
// sent; the library's applier then clears the entry under the sender's hands. A follower that gets such a message
// counts the entry as there, and panics: "tocommit(8) is out of range [lastIndex(7)]". Raft bears that one is lost.
func torn(message *eraftpb.Message) bool {
	if message.GetMsgType() != eraftpb.MessageType_MsgAppend {
		return false
	}
	for k, entry := range message.GetEntries() {
		if entry.GetIndex() != message.GetIndex()+uint64(k)+1 || entry.GetTerm() == 0 {
			log.Info("a torn message is dropped", zap.Uint64("from peer", message.GetFrom()))
			return true
		}
	}
	return false
}
