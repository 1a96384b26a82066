"""``inference.GRPCInferenceService``: the Open Inference Protocol."""

from __future__ import annotations

from functools import partial

from auth.principal import Scope
from schemas.errors import ModelNotFound, NotReady, Unsupported
from schemas.pb import open_inference_pb2 as pb
from service.core.scheduling.call_context import CallContext
from service.core.serving.classifier import Classifier
from service.runtime.runtime import Runtime
from service.settings import LimitSettings
from service.transport.admission import issue_ticket
from service.transport.grpc.call import Call
from service.transport.grpc.errors import Faults
from service.transport.grpc.inference import codec, description
from service.transport.grpc.methods import OPEN, Service, Stream, Unary
from service.transport.grpc.shape import estimate_parsed_bytes
from service.transport.grpc.streaming import InferStream
from service.transport.grpc.tickets import PROTOCOL
from service.transport.open_inference.classification_extension import with_classes
from service.transport.open_inference.inference_parameters import refuse_upload, version_named
from service.transport.policy import check_model

DESCRIPTOR = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]


class InferenceService:
    """Adapter from protocol messages to the core."""

    def __init__(self, runtime: Runtime, limits: LimitSettings, faults: Faults) -> None:
        self._runtime, self._limits, self._faults = runtime, limits, faults

    @property
    def registration(self) -> Service:
        """Descriptor and methods of the service."""
        read, write = Scope.MODELS_READ, Scope.MODELS_WRITE
        sizes = (
            self._limits.max_message_bytes,
            partial(estimate_parsed_bytes, max_typed=self._limits.max_body_bytes),
        )
        return DESCRIPTOR, {
            "ServerLive": Unary(OPEN, self.server_live),
            "ServerReady": Unary(OPEN, self.server_ready),
            "ModelReady": Unary(read, self.model_ready),
            "ServerMetadata": Unary(read, self.server_metadata),
            "ModelMetadata": Unary(read, self.model_metadata),
            "ModelInfer": Unary(Scope.INFER, self.model_infer, *sizes),
            "ModelStreamInfer": Stream(
                Scope.INFER, InferStream(self.model_infer, self._faults), *sizes
            ),
            "ModelConfig": Unary(read, self.model_config),
            "ModelStatistics": Unary(read, self.model_statistics),
            "RepositoryIndex": Unary(read, self.repository_index),
            "RepositoryModelLoad": Unary(write, self.load_model),
            "RepositoryModelUnload": Unary(write, self.unload_model),
        }

    async def server_live(self, _: pb.ServerLiveRequest, __: Call) -> pb.ServerLiveResponse:
        """Report that the process is live."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _: pb.ServerReadyRequest, __: Call) -> pb.ServerReadyResponse:
        """Report whether models are warm, their last canary passed, and tokens can be checked."""
        return pb.ServerReadyResponse(ready=self._runtime.is_ready)

    async def model_ready(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        """Report whether a model is warm and its canary passes. Unknown models report not ready."""
        try:
            version = _version(request.version)
            self._check(call, self._classifier.metadata(request.name, version).name)
            self._classifier.resolve(request.name, version)
        except (ModelNotFound, NotReady):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def server_metadata(
        self, _: pb.ServerMetadataRequest, __: Call
    ) -> pb.ServerMetadataResponse:
        """Return the server's name, version and protocol extensions."""
        return description.server()

    async def model_metadata(
        self, request: pb.ModelMetadataRequest, call: Call
    ) -> pb.ModelMetadataResponse:
        """Return a model's versions, platform and tensors."""
        found = self._classifier.metadata(request.name, _version(request.version))
        self._check(call, found.name)
        return description.metadata(found)

    async def model_config(
        self, request: pb.ModelConfigRequest, call: Call
    ) -> pb.ModelConfigResponse:
        """Return a model's configuration in Triton's format."""
        found = self._classifier.config(request.name, _version(request.version))
        self._check(call, found.name)
        return description.config(found)

    async def model_statistics(
        self, request: pb.ModelStatisticsRequest, call: Call
    ) -> pb.ModelStatisticsResponse:
        """Return statistics of one model, or of each model that the caller may use."""
        found = self._classifier.statistics(request.name or None, _version(request.version))
        for one in found if request.name else ():
            self._check(call, one.name)
        return pb.ModelStatisticsResponse(
            model_stats=[
                description.statistics(one) for one in found if call.principal.may_use(one.name)
            ]
        )

    async def repository_index(
        self, request: pb.RepositoryIndexRequest, call: Call
    ) -> pb.RepositoryIndexResponse:
        """Return the repository's models that the caller may use, with their states."""
        if request.repository_name:
            raise Unsupported("The only repository has no name: leave repository_name empty.")
        return pb.RepositoryIndexResponse(
            models=[
                description.entry(one)
                for one in self._classifier.index()
                if call.principal.may_use(one.name) and (one.state == "READY" or not request.ready)
            ]
        )

    async def load_model(
        self, request: pb.RepositoryModelLoadRequest, call: Call
    ) -> pb.RepositoryModelLoadResponse:
        """Load an unloaded model, or rescan the folder of a loaded one."""
        refuse_upload(request.parameters)
        self._check(call, request.model_name)
        await self._runtime.models.load(request.model_name, by=call.principal.name)
        return pb.RepositoryModelLoadResponse()

    async def unload_model(
        self, request: pb.RepositoryModelUnloadRequest, call: Call
    ) -> pb.RepositoryModelUnloadResponse:
        """Stop serving a model until it is loaded again; the default model cannot be unloaded."""
        refuse_upload(request.parameters)
        self._check(call, request.model_name)
        await self._runtime.models.unload(request.model_name, by=call.principal.name)
        return pb.RepositoryModelUnloadResponse()

    async def model_infer(self, message: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        """Return a model's raw outputs for tensors or encoded images."""
        asked = codec.read(message, call.timeout)
        del message
        caller = call.principal
        context = CallContext(caller.name, caller.weight, PROTOCOL, asked.priority, asked.timeout)
        ticket = issue_ticket(self._runtime, caller, asked.model, asked.version, context)
        answer = await self._classifier.infer(asked.request, ticket)
        return codec.write(with_classes(answer, asked.outputs))

    @property
    def _classifier(self) -> Classifier:
        return self._runtime.classifier

    def _check(self, call: Call, name: str) -> None:
        check_model(self._runtime.identity, call.principal, name)


def _version(text: str) -> int | str | None:
    return version_named(text) if text else None
