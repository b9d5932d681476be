package main

import (
	"context"

	"github.com/ngaut/unistore/pd"
	"github.com/ngaut/unistore/tikv/raftstore"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/log"
	"github.com/pingcap/tidb/util/codec"
	"go.uber.org/zap"
)

// splitter is a PD client that carries out PD's requests to split a region at given keys, and passes on all others but
// those to merge. It also tells PD the status address, which the library underneath does not know.
//
// The library underneath would halve the region instead; PD wants the bounds of its keyspaces ('r' and 'x' followed by
// 0 0 0 and by 0 0 1) and would ask for ever. A merge it begins, and dies of it: the rest is not written.
type splitter struct {
	pd.Client
	router     *raftstore.RaftstoreRouter
	statusAddr string
}

// PutStore registers the store.
func (s *splitter) PutStore(ctx context.Context, store *metapb.Store) error {
	store.StatusAddress = s.statusAddr
	return s.Client.PutStore(ctx, store)
}

// SetRegionHeartbeatResponseHandler puts this splitter in front of the handler.
func (s *splitter) SetRegionHeartbeatResponseHandler(next func(*pdpb.RegionHeartbeatResponse)) {
	s.Client.SetRegionHeartbeatResponseHandler(func(resp *pdpb.RegionHeartbeatResponse) {
		if request := resp.GetSplitRegion(); request != nil && len(request.GetKeys()) > 0 {
			if keys := encoded(request.GetKeys()); len(keys) > 0 {
				go s.split(resp, keys)
			}
			return
		}
		if resp.GetMerge() != nil {
			log.Warn("PD asked for a merge, which this store cannot do", zap.Uint64("region", resp.GetRegionId()))
			return
		}
		next(resp)
	})
}

// split waits for the answer of Raft, so it must not run on the heartbeat's own goroutine.
func (s *splitter) split(resp *pdpb.RegionHeartbeatResponse, keys [][]byte) {
	where := &kvrpcpb.Context{RegionId: resp.GetRegionId(), RegionEpoch: resp.GetRegionEpoch()}
	if _, err := s.router.SplitRegion(where, keys); err != nil {
		log.Warn("PD asked for a split that failed", zap.Uint64("region", resp.GetRegionId()), zap.Error(err))
	}
}

// encoded leaves out the keys that are not in the form in which transactions keep theirs: a region that begins at one
// ends every store that has it, and TiKV would accept it.
func encoded(keys [][]byte) [][]byte {
	var good [][]byte
	for _, key := range keys {
		if rest, _, err := codec.DecodeBytes(key, nil); err != nil || len(rest) > 0 {
			log.Warn("PD asked for a split at a key that is not encoded", zap.Binary("key", key))
			continue
		}
		good = append(good, key)
	}
	return good
}
