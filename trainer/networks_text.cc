#include "trainer/networks_text.h"

#include "envs/registry.h"
#include "rollout/mlp/network_text.h"
#include "trainer/algos/dqn_setup.h"
#include "trainer/algos/twin_critic.h"
#include "trainer/algos/twin_setup.h"

namespace rollmill {
namespace {

std::string part(const std::string& name, const Network& network) {
  return name + " " + network_text(network) + " (" + std::to_string(parameter_count(network)) + ")";
}

std::string line(std::int64_t parameters, const std::string& parts, Activation activation) {
  return std::to_string(parameters) + " parameters: " + parts + ", " + activation_name(activation);
}

// Of a policy that is one or two networks.
std::string policy_line(const PolicyShape& shape, const char* alone, const char* actor,
                        const char* critic) {
  const MlpLayout layout(shape);
  const bool separate = !layout.critic.dense.empty();
  std::string parts = part(separate ? actor : alone, layout.actor);
  if (separate) parts += ", " + part(critic, layout.critic);
  if (layout.has_log_std())
    parts += ", log standard deviations (" + std::to_string(shape.reals) + ")";
  return line(layout.parameter_count(), parts, shape.activation);
}

}  // namespace

std::string networks_text(const TrainOptions& o) {
  const EnvSpec& spec = find_env(o.env.id).spec();
  if (o.algorithm == "dqn")
    return policy_line(dqn_shape(spec, o), o.dqn.duelling ? "advantages and value" : "Q",
                       "advantages", "value");
  if (o.algorithm != "sac" && o.algorithm != "td3")
    return policy_line(shape_for(spec, o.policy), "actor and critic", "actor", "critic");
  const PolicyShape shape = twin_actor_shape(spec, o);
  const MlpLayout actor(shape), critic(twin_critic_shape(shape));
  return line(actor.parameter_count() + 2 * critic.parameter_count(),
              part("actor", actor.actor) + ", two critics of " + network_text(critic.actor) + " (" +
                  std::to_string(critic.parameter_count()) + " each)",
              shape.activation);
}

}  // namespace rollmill
