#include "tools/inspect_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/json.h"

namespace sluice::tools {
namespace {

bool is_sound(const SegmentFacts& segment) {
  return segment.header == "ok" && segment.chunks_damaged == 0;
}

Json segment_json(const SegmentFacts& segment) {
  Json json;
  json["file"] = segment.name;
  json["epoch"] = segment.epoch.value();
  json["file_bytes"] = segment.file_bytes;
  json["used_bytes"] = segment.used_bytes;
  json["header"] = segment.header;
  json["chunks"] = segment.chunks;
  json["chunks_damaged"] = segment.chunks_damaged;
  json["first_live_chunk"] = segment.first_live.value();
  json["last_live_chunk"] = segment.last_live.value();
  json["torn_tail"] = segment.torn;
  json["checksums"] = is_sound(segment) ? "ok" : "damaged";
  return json;
}

Json group_json(const GroupFacts& group) {
  Json json;
  json["group"] = group.group.value();
  json["first_index"] = group.first_index.value();
  json["last_index"] = group.last_index.value();
  json["first_term"] = group.first_term.value();
  json["last_term"] = group.last_term.value();
  json["batches"] = group.batches;
  json["term"] = group.term.value();
  json["vote"] = group.vote.value();
  return json;
}

Json shard_json(const ShardFacts& shard) {
  Json json;
  json["shard"] = shard.shard.value();
  json["segments"] = Json::array();
  for (const SegmentFacts& segment : shard.segments)
    json["segments"].push_back(segment_json(segment));
  json["groups"] = Json::array();
  for (const GroupFacts& group : shard.groups) json["groups"].push_back(group_json(group));
  json["peers"] = Json::array();
  for (const PeerFacts& peer : shard.peers) {
    Json one;
    one["node_id"] = peer.node.value();
    one["directory_id"] = shard::to_hex(peer.directory);
    json["peers"].push_back(one);
  }
  json["other_files"] = shard.spares;
  json["last_chunk"] = shard.last_seq.value();
  json["durable_chunk"] = shard.durable_seq.value();
  json["torn_tail"] = shard.torn_tail;
  json["damage"] = shard.damage;
  return json;
}

std::string shard_text(const ShardFacts& shard) {
  std::string text = fmt::format(
      "shard {}: {} segments, {} other files, chunks up to {}, durable up "
      "to {} at least{}\n",
      shard.shard.value(), shard.segments.size(), shard.spares, shard.last_seq.value(),
      shard.durable_seq.value(), shard.torn_tail ? ", torn tail (no damage)" : "");
  for (const SegmentFacts& segment : shard.segments) {
    const std::string live =
        segment.first_live == ChunkSeq(0)
            ? "none live"
            : fmt::format("{} to {} live", segment.first_live.value(), segment.last_live.value());
    text +=
        fmt::format("  {}  epoch {}, {} of {} bytes, {} chunks, {}, checksums {}{}\n", segment.name,
                    segment.epoch.value(), segment.used_bytes, segment.file_bytes, segment.chunks,
                    live, is_sound(segment) ? "ok" : "DAMAGED", segment.torn ? ", torn tail" : "");
  }
  for (const GroupFacts& group : shard.groups)
    text += fmt::format(
        "  group {}: index {} to {} in {} batches of terms {} to {}; current term {}, vote {}\n",
        group.group.value(), group.first_index.value(), group.last_index.value(), group.batches,
        group.first_term.value(), group.last_term.value(), group.term.value(), group.vote.value());
  for (const PeerFacts& peer : shard.peers)
    text += fmt::format("  knows node {} with directory id {}\n", peer.node.value(),
                        shard::to_hex(peer.directory));
  for (const std::string& damage : shard.damage) text += fmt::format("  DAMAGE: {}\n", damage);
  return text;
}

}  // namespace

bool DirectoryFacts::damaged() const {
  return std::ranges::any_of(shards, [](const ShardFacts& shard) { return !shard.damage.empty(); });
}

bool DirectoryFacts::torn_tail() const {
  return std::ranges::any_of(shards, &ShardFacts::torn_tail);
}

Json inspect_json(const DirectoryFacts& facts) {
  Json json;
  json["path"] = facts.path;
  json["cluster"] = facts.identity.cluster_name;
  json["node_id"] = facts.identity.node.value();
  json["directory_id"] = shard::to_hex(facts.identity.directory);
  json["torn_tail"] = facts.torn_tail();
  json["damaged"] = facts.damaged();
  json["shards"] = Json::array();
  for (const ShardFacts& shard : facts.shards) json["shards"].push_back(shard_json(shard));
  return json;
}

std::string inspect_text(const DirectoryFacts& facts) {
  std::string text =
      fmt::format("{}: node {} of cluster {}, directory id {}, {} shards\n", facts.path,
                  facts.identity.node.value(), facts.identity.cluster_name,
                  shard::to_hex(facts.identity.directory), facts.identity.shards);
  for (const ShardFacts& shard : facts.shards) text += shard_text(shard);
  text +=
      facts.damaged() ? "DAMAGED: this node must not start from this directory\n" : "no damage\n";
  return text;
}

}  // namespace sluice::tools
