"""What each resource type can be searched by: FHIR R4's search parameters, and those that US Core 6.1.0 adds, as rows.

A row is `name`, or `name=path+path` where an element has another name; what follows is read by the parameter's type:
`@` the code system that a plain code implies (below http://hl7.org/fhir/), `>` the types a reference may point at
(`>*`: any), `[phone]` only the contact points of that system, `?` whether the element is there at all.
Source: FHIR R4 search parameter registry; US Core 6.1.0 SearchParameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

ParamType = Literal["token", "string", "reference", "date", "uri"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParam:
    """One search parameter of a type. paths: elements below the resource. targets: types a reference may name, or `*`.

    system: what a value of type code belongs to, '' where the value names its own. stands_as: the parameter of the same elements
    and more types of targets, whose rows of the index are this one's too (`patient`: those of `subject`), '' for none.
    """

    name: str
    type: ParamType
    paths: tuple[str, ...]
    targets: tuple[str, ...] = ()
    system: str = ""
    stands_as: str = ""

    @property
    def indexed(self) -> str:
        """The parameter under whose name its rows stand in the index."""
        return self.stands_as or self.name

    def points_at(self, resource_type: str) -> bool:
        """Whether a reference of this parameter may name that type."""
        return "*" in self.targets or resource_type in self.targets


def _row(kind: ParamType, text: str) -> SearchParam:
    declared, _, targets = text.partition(">")
    declared, _, system = declared.partition("@")
    name, _, paths = declared.partition("=")
    return SearchParam(name=name, type=kind, paths=tuple((paths or name).split("+")),
                       targets=tuple(targets.split(",")) if targets else (),
                       system=f"http://hl7.org/fhir/{system}" if system else "")


def _params(*, token: str = "", string: str = "", reference: str = "", date: str = "", uri: str = "",
            identified: bool = True) -> dict[str, SearchParam]:
    common = " _tag=meta.tag _security=meta.security" + (" identifier" if identified else "")
    kinds: tuple[tuple[ParamType, str], ...] = (
        ("token", token + common), ("string", string), ("reference", reference), ("date", date), ("uri", uri))
    return _sharing({row.name: row for kind, texts in kinds for row in (_row(kind, text) for text in texts.split())})


def _sharing(params: dict[str, SearchParam]) -> dict[str, SearchParam]:
    """With what stands under another's name: a fifth of the index's rows would be said twice."""
    wide = {name: next((other.name for other in params.values() if _covers(other, param)), "") for name, param in params.items()}
    return {name: replace(param, stands_as=wide[name] if not wide.get(wide[name]) else "") for name, param in params.items()}


def _covers(other: SearchParam, param: SearchParam) -> bool:
    if other.name == param.name or param.type != "reference" or (other.type, other.paths) != (param.type, param.paths):
        return False
    more = "*" in other.targets or ("*" not in param.targets and set(other.targets) > set(param.targets))
    return more or (other.targets == param.targets and other.name < param.name)


_TELECOM = "telecom phone=telecom[phone] email=telecom[email] "
_ADDRESS = (" address address-city=address.city address-state=address.state address-postalcode=address.postalCode"
            " address-country=address.country address-use=address.use")
_NAME = "name family=name.family given=name.given" + _ADDRESS
_CARERS = "Practitioner,PractitionerRole,Organization,CareTeam,Patient,RelatedPerson"
_SUBJECT = "patient=subject>Patient subject>Patient,Group encounter>Encounter "
_ABOUT_PATIENT = "patient=subject>Patient subject>Patient "

PARAMS: dict[str, dict[str, SearchParam]] = {
    "Patient": _params(
        token=_TELECOM + "active gender@administrative-gender language=communication.language"
        " deceased=deceasedBoolean+?deceasedDateTime",
        string=_NAME, date="birthdate=birthDate death-date=deceasedDateTime",
        reference="general-practitioner=generalPractitioner>Practitioner,PractitionerRole,Organization"
        " organization=managingOrganization>Organization link=link.other>Patient,RelatedPerson"),
    "RelatedPerson": _params(
        token=_TELECOM + "active gender@administrative-gender relationship", string=_NAME, date="birthdate=birthDate",
        reference="patient>Patient"),
    "Practitioner": _params(token=_TELECOM + "active gender@administrative-gender communication", string=_NAME),
    "PractitionerRole": _params(
        token=_TELECOM + "active role=code specialty", date="date=period",
        reference="practitioner>Practitioner organization>Organization location>Location service=healthcareService>"
        "HealthcareService endpoint>Endpoint"),
    "Organization": _params(
        token="active type", string="name=name+alias" + _ADDRESS,
        reference="partof=partOf>Organization endpoint>Endpoint"),
    "Location": _params(
        token="status@location-status type operational-status=operationalStatus",
        string="name=name+alias+description" + _ADDRESS,
        reference="organization=managingOrganization>Organization partof=partOf>Location endpoint>Endpoint"),
    "Encounter": _params(
        token="status@encounter-status class type reason-code=reasonCode participant-type=participant.type"
        " discharge-disposition=hospitalization.dischargeDisposition",
        date="date=period location-period=location.period",
        reference="patient=subject>Patient subject>Patient,Group"
        " participant=participant.individual>Practitioner,PractitionerRole,RelatedPerson"
        " practitioner=participant.individual>Practitioner service-provider=serviceProvider>Organization"
        " location=location.location>Location episode-of-care=episodeOfCare>EpisodeOfCare"
        " based-on=basedOn>ServiceRequest"
        " diagnosis=diagnosis.condition>Condition,Procedure account>Account part-of=partOf>Encounter"
        " appointment>Appointment reason-reference=reasonReference>Condition,Procedure,Observation"),
    "EpisodeOfCare": _params(
        token="status@episode-of-care-status type", date="date=period",
        reference="patient>Patient organization=managingOrganization>Organization"
        " care-manager=careManager>Practitioner,PractitionerRole condition=diagnosis.condition>Condition"
        " incoming-referral=referralRequest>ServiceRequest"),
    "CareTeam": _params(
        token="status@care-team-status category role=participant.role", date="date=period",
        reference=_SUBJECT + "participant=participant.member>" + _CARERS),
    "CarePlan": _params(
        token="status@request-status intent@request-intent category activity-code=activity.detail.code",
        date="date=period",
        reference=_SUBJECT + "care-team=careTeam>CareTeam goal>Goal condition=addresses>Condition"
        " based-on=basedOn>CarePlan"
        " part-of=partOf>CarePlan replaces>CarePlan activity-reference=activity.reference>*"
        " performer=activity.detail.performer>" + _CARERS),
    "Goal": _params(
        token="lifecycle-status=lifecycleStatus@goal-status achievement-status=achievementStatus category description",
        date="start-date=startDate target-date=target.dueDate",
        reference="patient=subject>Patient subject>Patient,Group,Organization"),
    "Consent": _params(
        token="status@consent-state-codes scope category action=provision.action purpose=provision.purpose"
        " security-label=provision.securityLabel",
        date="date=dateTime period=provision.period",
        reference="patient>Patient organization>Organization actor=provision.actor.reference>Device,Group," + _CARERS
        + " consentor=performer>Organization,Patient,Practitioner,PractitionerRole,RelatedPerson"
        " data=provision.data.reference>*"
        " source-reference=sourceReference>Consent,DocumentReference,Contract,QuestionnaireResponse"),
    "ServiceRequest": _params(
        token="status@request-status intent@request-intent priority@request-priority category code requisition"
        " performer-type=performerType body-site=bodySite",
        date="authored=authoredOn occurrence=occurrenceDateTime+occurrencePeriod+occurrenceTiming",
        reference="patient=subject>Patient subject>Patient,Group,Location,Device encounter>Encounter"
        " requester>Device,Practitioner,PractitionerRole,Organization,Patient,RelatedPerson"
        " performer>Device,HealthcareService," + _CARERS + " based-on=basedOn>ServiceRequest,CarePlan,MedicationRequest"
        " replaces>ServiceRequest"),
    "Task": _params(
        token="status@task-status intent@request-intent priority@request-priority code business-status=businessStatus"
        " performer=performerType group-identifier=groupIdentifier",
        date="authored-on=authoredOn modified=lastModified period=executionPeriod",
        reference="patient=for>Patient subject=for>* focus>* owner>HealthcareService," + _CARERS
        + " requester>Device,Practitioner,PractitionerRole,Organization,Patient,RelatedPerson encounter>Encounter"
        " part-of=partOf>Task based-on=basedOn>*"),
    "Communication": _params(
        token="status@event-status category medium", date="sent received",
        reference=_SUBJECT + "sender>Device,HealthcareService," + _CARERS
        + " recipient>Device,Group,HealthcareService," + _CARERS + " based-on=basedOn>* part-of=partOf>*"),
    "Condition": _params(
        token="clinical-status=clinicalStatus verification-status=verificationStatus category code severity"
        " body-site=bodySite",
        date="onset-date=onsetDateTime+onsetPeriod abatement-date=abatementDateTime+abatementPeriod"
        " recorded-date=recordedDate",
        reference=_SUBJECT + "asserter>Practitioner,PractitionerRole,Patient,RelatedPerson"),
    "AllergyIntolerance": _params(
        token="clinical-status=clinicalStatus verification-status=verificationStatus type@allergy-intolerance-type"
        " category@allergy-intolerance-category criticality@allergy-intolerance-criticality"
        " code=code+reaction.substance manifestation=reaction.manifestation"
        " severity=reaction.severity@reaction-event-severity",
        date="date=recordedDate onset=reaction.onset last-date=lastOccurrence",
        reference="patient>Patient recorder>Practitioner,PractitionerRole,Patient,RelatedPerson"
        " asserter>Practitioner,PractitionerRole,Patient,RelatedPerson"),
    "Observation": _params(
        token="status@observation-status category code value-concept=valueCodeableConcept"
        " combo-code=code+component.code",
        date="date=effectiveDateTime+effectivePeriod+effectiveInstant",
        reference="patient=subject>Patient subject>Patient,Group,Device,Location encounter>Encounter performer>"
        + _CARERS),
    "Procedure": _params(
        token="status@event-status category code reason-code=reasonCode", date="date=performedDateTime+performedPeriod",
        reference=_SUBJECT + "performer=performer.actor>Device,Practitioner,PractitionerRole,Organization,Patient,"
        "RelatedPerson"
        " based-on=basedOn>CarePlan,ServiceRequest part-of=partOf>Procedure,Observation location>Location"),
    "Coverage": _params(
        token="status@fm-status type class-type=class.type", string="class-value=class.value dependent",
        reference="patient=beneficiary>Patient beneficiary>Patient subscriber>Patient,RelatedPerson"
        " policy-holder=policyHolder>Patient,RelatedPerson,Organization payor>Organization,Patient,RelatedPerson"),
    "Account": _params(
        token="status@account-status type", string="name", date="period=servicePeriod",
        reference="patient=subject>Patient subject>Patient,Device,Practitioner,PractitionerRole,Location,"
        "HealthcareService,"
        "Organization owner>Organization"),
    "Provenance": _params(
        identified=False, token="agent-type=agent.type agent-role=agent.role",
        date="recorded when=occurredDateTime+occurredPeriod",
        reference="target>* patient=target>Patient agent=agent.who>Device," + _CARERS + " entity=entity.what>*"
        " location>Location"),
    "MessageHeader": _params(
        identified=False, token="code=response.code@response-code event=eventCoding response-id=response.identifier",
        string="destination=destination.name source=source.name",
        uri="destination-uri=destination.endpoint source-uri=source.endpoint",
        reference="focus>* sender>Practitioner,PractitionerRole,Organization author>Practitioner,PractitionerRole"
        " responsible>Practitioner,PractitionerRole,Organization receiver=destination.receiver>Practitioner,"
        "PractitionerRole,"
        "Organization target=destination.target>Device enterer>Practitioner,PractitionerRole"),
    "Questionnaire": _params(
        token="status@publication-status version subject-type=subjectType@resource-types code=item.code",
        string="name title publisher description", date="date effective=effectivePeriod", uri="url"),
    "QuestionnaireResponse": _params(
        token="status@questionnaire-answers-status", date="authored", uri="questionnaire",
        reference="patient=subject>Patient subject>* encounter>Encounter source>Patient,Practitioner,"
        "PractitionerRole,RelatedPerson"
        " author>Device,Practitioner,PractitionerRole,Patient,RelatedPerson,Organization"
        " based-on=basedOn>ServiceRequest,CarePlan"
        " part-of=partOf>Observation,Procedure"),
    "Device": _params(
        token="status@device-status type", string="device-name=deviceName.name+type.text manufacturer model=modelNumber"
        " udi-carrier=udiCarrier.carrierHRF udi-di=udiCarrier.deviceIdentifier", uri="url",
        reference="patient>Patient organization=owner>Organization location>Location"),
    "Flag": _params(
        token="", date="date=period",
        reference="patient=subject>Patient subject>* encounter>Encounter author>Device,Practitioner,PractitionerRole,"
        "Organization,Patient"),
    "HealthcareService": _params(
        token="active service-category=category service-type=type specialty program characteristic", string="name",
        reference="organization=providedBy>Organization location>Location coverage-area=coverageArea>Location"
        " endpoint>Endpoint"),
    "OrganizationAffiliation": _params(
        token=_TELECOM + "active role=code specialty", date="date=period",
        reference="primary-organization=organization>Organization"
        " participating-organization=participatingOrganization>Organization network>Organization location>Location"
        " service=healthcareService>HealthcareService endpoint>Endpoint"),
    "Group": _params(
        token="actual type@group-type code characteristic=characteristic.code exclude=characteristic.exclude",
        reference="member=member.entity>Device,Group,Medication,Patient,Practitioner,PractitionerRole,Substance"
        " managing-entity=managingEntity>Organization,Practitioner,PractitionerRole,RelatedPerson"),
    "Claim": _params(
        token="status@fm-status use@claim-use priority", date="created",
        reference="patient>Patient insurer>Organization provider>Organization,Practitioner,PractitionerRole"
        " enterer>Practitioner,PractitionerRole facility>Location care-team=careTeam.provider>Organization,Practitioner,"
        "PractitionerRole payee=payee.party>Organization,Patient,Practitioner,PractitionerRole,RelatedPerson"
        " encounter=item.encounter>Encounter procedure-udi=procedure.udi>Device"),
    "ClaimResponse": _params(
        token="status@fm-status use@claim-use outcome@remittance-outcome", string="disposition",
        date="created payment-date=payment.date",
        reference="patient>Patient insurer>Organization request>Claim"
        " requestor>Organization,Practitioner,PractitionerRole"),
    "Measure": _params(
        token="status@publication-status version", string="name title description", date="date effective=effectivePeriod",
        uri="url"),
    "MedicationRequest": _params(
        token="status intent priority@request-priority category code=medicationCodeableConcept",
        date="authoredon=authoredOn date=dosageInstruction.timing.event",
        reference="patient=subject>Patient subject>Patient,Group encounter>Encounter medication=medicationReference>Medication"
        " requester>Device,Organization,Patient,Practitioner,PractitionerRole,RelatedPerson"
        " intended-dispenser=dispenseRequest.performer>Organization"
        " intended-performer=performer>Device," + _CARERS),
    "MedicationStatement": _params(
        token="status category code=medicationCodeableConcept", date="effective=effectiveDateTime+effectivePeriod",
        reference="patient=subject>Patient subject>Patient,Group context>Encounter,EpisodeOfCare"
        " medication=medicationReference>Medication part-of=partOf>*"
        " source=informationSource>Organization,Patient,Practitioner,PractitionerRole,RelatedPerson"),
}
"""Resource type -> parameter name -> parameter; `_id` and `_lastUpdated` go without saying."""
